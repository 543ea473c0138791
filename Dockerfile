# The service of exported models: no torch.  A model is mounted (the last stage) or copied in (--target with-model).
#   docker build -t tarsia .
#   docker build -t tarsia-demo --target with-model --build-arg MODEL=runs/demo/model.onnx .
#   docker build -t tarsia-fast --build-arg EXTRAS=serve,openvino .

FROM python:3.13-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICES.md ./
COPY src src
COPY recipes recipes
COPY studies studies
ARG EXTRAS=serve
RUN python -m venv /opt/tarsia \
    && /opt/tarsia/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt ".[$EXTRAS]" \
    && /opt/tarsia/bin/pip uninstall --yes pip

FROM python:3.13-slim-trixie AS runtime
COPY --from=build /opt/tarsia /opt/tarsia
ENV PATH=/opt/tarsia/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /models
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["tarsia", "serve", "--host", "0.0.0.0"]
CMD ["/models/model.onnx"]

FROM runtime AS with-model
ARG MODEL
COPY ${MODEL} /models/model.onnx

FROM runtime AS mounted
