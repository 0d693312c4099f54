"""DeepSpeed's settings from ours, and what it leaves to us."""

from typing import Any

from infra.settings.optimiser import OptimiserSettings


def judges(options: OptimiserSettings) -> bool:
    """Whether DeepSpeed itself clips and skips; in its plain mode it never looks for a NaN."""
    return options.zero_stage > 0 or options.precision == "fp16"


def deepspeed_config(options: OptimiserSettings, cuda: bool) -> dict[str, Any]:
    """The `config` of `deepspeed.initialize`; the optimiser is handed over apart from it."""
    zero: dict[str, Any] = {"stage": options.zero_stage}
    if options.offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": cuda}
    clip = (options.clip_gradient or 0.0) if judges(options) else 0.0
    return {
        "train_micro_batch_size_per_gpu": options.batch_size // options.accumulate,
        "gradient_accumulation_steps": options.accumulate,
        "gradient_clipping": clip,
        "zero_optimization": zero,
        "zero_force_ds_cpu_optimizer": False,  # its own Adam is compiled first; torch's is fused
        "fp16": {"enabled": options.precision == "fp16"},
        # Weights stay float32, and so do the gradients that workers exchange.
        "torch_autocast": {
            "enabled": options.precision == "bf16",
            "dtype": "bfloat16",
            "lower_precision_safe_modules": [],
        },
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
