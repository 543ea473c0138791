"""The parts of the web service that `serving.py` puts together; fastapi and uvicorn, never torch.

A request's way: `middleware` (request id, log, metrics) -> `api` -> `requests` (limits, before anything is decoded) ->
`batching` (bounded queue; decode, network, encode in its threads) -> `responses`.  What goes wrong is a `problems`.
"""
