"""What TF Serving's stock image needs beside a SavedModel: versions, configuration, warm-up, and a way to run it."""

import math
import re
from pathlib import Path

from keras_bert_suite.export.warmup import write_warmup

__all__ = ["write_bundle"]

#: Tokens in one run of the model: a larger batch answers later, and hardly more a second.
TOKENS_PER_BATCH = 4096
#: Requests that wait, in batches, before more are refused.
WAITING_BATCHES = 100

MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""

BATCHING = """\
# At most {rows} texts of {length} tokens in one run. A request that could run does not wait for others.
max_batch_size {{ value: {rows} }}
batch_timeout_micros {{ value: 0 }}
max_enqueued_batches {{ value: {waiting} }}
num_batch_threads {{ value: {threads} }}
# Ids of different lengths are not padded by the server: it would fill padding_mask with ones.
pad_variable_length_inputs: false
"""

ARGUMENTS = (
    "--model_config_file=/models/models.config",
    "--enable_batching=true",
    "--batching_parameters_file=/models/batching.config",
    "--monitoring_config_file=/models/monitoring.config",
)

MONITORING = 'prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }\n'

COMPOSE = """\
# docker compose up
services:
  serving:
    image: ${{TF_SERVING_IMAGE:-tensorflow/serving:latest}}
    command:
{arguments}
    ports:
      - "8500:8500" # gRPC
      - "8501:8501" # REST
    volumes:
      - ./models:/models:ro
    healthcheck:
      test: ["CMD-SHELL", "exec 3<>/dev/tcp/127.0.0.1/8501"]
      interval: 10s
      start_period: 60s
    restart: unless-stopped
"""

KUBERNETES = """\
# kubectl apply -f kubernetes.yaml, once the volume claim "{label}-models" holds what is in models/.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {label}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: {label}}}
  template:
    metadata:
      labels: {{app: {label}}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      containers:
        - name: serving
          image: tensorflow/serving:latest
          args:
{arguments}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          readinessProbe:
            httpGet: {{path: /v1/models/{name}, port: rest}}
            periodSeconds: 5
          livenessProbe:
            tcpSocket: {{port: grpc}}
            initialDelaySeconds: 60
          resources:
            requests: {{cpu: "{threads}", memory: {memory}Mi}}
            limits: {{memory: {limit}Mi}}
          volumeMounts:
            - {{name: models, mountPath: /models, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: {label}-models, readOnly: true}}
---
apiVersion: v1
kind: Service
metadata:
  name: {label}
spec:
  selector: {{app: {label}}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
"""

README = """\
# {name}

Task: {task}. Made for TF Serving's stock image.

```
docker compose up                        # REST on 8501, gRPC on 8500
curl http://localhost:8501/v1/models/{name}
curl -d '{request}' http://localhost:8501/v1/models/{name}:predict
```

| | |
|---|---|
| `models/{name}/{version}/` | the SavedModel, its warm-up requests; in `assets.extra/task`, tokenizer and labels |
| `models/*.config` | what is served, how requests are joined, where metrics are |
| `compose.yaml`, `kubernetes.yaml` | how to run it |

A new version is a new folder: copy it to another name, then rename it to `models/{name}/{next}`. The server finds it
by itself, warms it up, and lets go of the old one.
"""


def write_bundle(task, saved_model, directory, name, version, max_length, threads=4):
    """Write the files around a SavedModel that is in its place, `models/NAME/VERSION`.

    Args:
        task: the task.
        saved_model: path of the SavedModel.
        directory: path of the bundle.
        name: str. The name of the model.
        version: int.
        max_length: int. The longest text, in tokens.
        threads: int. Batches that run at a time, and processors asked for. Defaults to 4.
    """
    directory = Path(directory)
    request = write_warmup(task, saved_model, name, max_length)
    weights = 4 * sum(math.prod(weight.shape) for weight in task.model.weights) / 2**20
    values = {
        "name": name,
        "label": _label(name),
        "version": version,
        "next": version + 1,
        "task": task.task,
        "request": request,
        "rows": max(1, TOKENS_PER_BATCH // max_length),
        "length": max_length,
        "waiting": WAITING_BATCHES,
        "threads": threads,
        "memory": int(3 * weights) + 512,
        "limit": int(8 * weights) + 2048,
    }
    (directory / "models/models.config").write_text(MODELS.format(**values), encoding="utf-8")
    (directory / "models/batching.config").write_text(BATCHING.format(**values), encoding="utf-8")
    (directory / "models/monitoring.config").write_text(MONITORING, encoding="utf-8")
    for file, template, indent in (("compose.yaml", COMPOSE, 6), ("kubernetes.yaml", KUBERNETES, 12)):
        arguments = "\n".join(f"{' ' * indent}- {argument}" for argument in ARGUMENTS)
        (directory / file).write_text(template.format(arguments=arguments, **values), encoding="utf-8")
    (directory / "README.md").write_text(README.format(**values), encoding="utf-8")


def _label(name):
    """Return a name as Kubernetes takes it: at most 63 of a to z, 0 to 9 and hyphens inside, a letter first."""
    label = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    return (label if label[:1].isalpha() else f"model-{label}")[:50].strip("-")  # "-models" follows
