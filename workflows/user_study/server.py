"""The pages of the user study, served on loopback with Flask."""

import secrets
from pathlib import Path
from typing import cast, get_args

from flask import Flask, Response, abort, g, redirect, render_template_string, request, url_for
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response as AnyResponse

from infra.errors import SettingsError
from workflows.user_study.answers import Answers, Choice, Question, order

# (key of the question, method or "reference") → PNG
Pictures = dict[tuple[str, str], bytes]
HOST = "127.0.0.1"
OWN = "same-origin"
# Nothing but the page's own style and script, its pictures and its forms, and no frame around it.
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
TEMPLATE = Path(__file__).with_name("page.html.j2")


def create_app(questions: list[Question], pictures: Pictures, answers: Answers) -> Flask:
    """The study as a WSGI application: an opening page, one page a question, a page of thanks."""
    app = Flask(__name__, static_folder=None)
    # Another site's page cannot reach the study by a name that it points at this machine.
    app.config["TRUSTED_HOSTS"] = [HOST, "localhost"]
    page = TEMPLATE.read_text(encoding="utf-8")

    @app.before_request
    def own_forms_alone() -> None:
        g.nonce = secrets.token_urlsafe(16)
        # Browsers tell where a form lies; another site's may not vote.
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site", OWN) != OWN:
            abort(403)

    @app.after_request
    def with_policy(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY.format(g.nonce)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"  # the address holds the token
        return response

    @app.get("/")
    def opening() -> str:
        return render_template_string(page, state="opening", count=len(questions))

    @app.post("/begin")
    def begin() -> AnyResponse:
        return redirect(url_for("asked", participant=secrets.token_urlsafe(12)), 303)

    @app.get("/p/<participant>")
    def asked(participant: str) -> Response:
        done = answers.answered(participant)
        left_over = [shown for shown in order(questions, participant) if shown.question not in done]
        shown = left_over[0] if left_over else None
        place = len(questions) - len(left_over) + 1
        html = render_template_string(
            page, state="question" if shown else "thanks", shown=shown, place=place,
            count=len(questions), participant=participant,
        )  # fmt: skip
        # Going back must show what is unanswered now, not a page that has been answered.
        return Response(html, headers={"Cache-Control": "no-store"})

    @app.post("/p/<participant>/<key>")
    def answer(participant: str, key: str) -> AnyResponse:
        shown = next((s for s in order(questions, participant) if s.question.key == key), None)
        choice = request.form.get("choice", "")
        if shown is None:
            abort(404)
        if choice not in get_args(Choice):
            abort(400)
        answers.add(participant, shown, cast(Choice, choice))
        return redirect(url_for("asked", participant=participant), 303)

    @app.get("/p/<participant>/<key>/<side>.png")
    def picture(participant: str, key: str, side: str) -> Response:
        # The address names the side, not the method.
        shown = next((s for s in order(questions, participant) if s.question.key == key), None)
        if shown is None or side not in ("left", "right", "reference"):
            abort(404)
        name = {"left": shown.left, "right": shown.right}.get(side, "reference")
        return Response(pictures[key, name], mimetype="image/png")

    return app


class Quiet(WSGIRequestHandler):
    """Keeps no record of who asked when: answers are anonymous."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def serve(app: Flask, port: int) -> None:
    """Serve until interrupted, and print the address; raises SettingsError for a port in use."""
    try:
        server = make_server(HOST, port, app, threaded=True, request_handler=Quiet)
    except (OSError, SystemExit) as error:
        raise SettingsError(
            f"study.port: {port} cannot be used on {HOST}; give another, or 0 for any"
        ) from error
    print(f"the study is at http://{HOST}:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("the study has ended; --summary shows the answers")
    finally:
        server.server_close()
