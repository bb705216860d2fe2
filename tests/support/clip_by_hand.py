"""open_clip called by hand: what an encoder must give."""

from __future__ import annotations

import io

import numpy as np
import open_clip
import torch
from PIL import Image

from curate.stages.embed.open_clip import OpenClip


def by_hand(folder, images=(), texts=()):
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()
    with torch.inference_mode():
        if images:
            opened = [Image.open(io.BytesIO(data)).convert("RGB") for data in images]
            out = model.encode_image(torch.stack([transform(image) for image in opened]))
        else:
            out = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(list(texts)))
    out = out.double().numpy()
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def encoder(tiny):
    return OpenClip(model=f"local-dir:{tiny}", pretrained="")
