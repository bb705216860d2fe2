import sys,time; sys.path.insert(0,"tests/support")
from tiny_pairset import write_tiny_pairset
from curate.manifests import PairStream, ImageTransform
import tempfile, torch
torch.set_num_threads(1)
root=tempfile.mkdtemp(); write_tiny_pairset(root, samples=96, files=2, tars=2, image_size=8)
t=time.time(); s=PairStream(root, 24, rank=0, world_size=8, transform=ImageTransform(4)); print("open", time.time()-t, len(s))
for w in (0,1,3):
    t=time.time(); list(s.loader(w)); print(w, time.time()-t)
for m in ("spawn","forkserver"):
    t=time.time(); list(s.loader(1, multiprocessing_context=m)); print(m, time.time()-t)
