"""How little JAX compiles for a test: tiny models spend their time in the compiler, not in what it makes."""

XLA_FLAGS = " ".join(
    (
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_cpu_prefer_vector_width=128",
    )
)
