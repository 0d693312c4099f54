"""FFmpeg's filters, for frames of one kind."""

import av


def filtering(frame: av.VideoFrame, name: str, **options: str) -> av.filter.Graph:
    """A graph that takes frames like `frame` through the filter `name`.

    In one thread, as all of a film: Ray gives a task one core. `options` are handed over one by
    one, so that none of their characters has a meaning of its own.
    """
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    sink = graph.add("buffersink")
    graph.link_nodes(source, graph.add(name, **options), sink).configure()
    return graph
