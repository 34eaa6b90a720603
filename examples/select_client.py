"""A loop in Python that asks `tts-var serve-strategy` whom to keep. Standard library only; copy it into your project.

    npx tts-var serve-strategy &
    python3 examples/select_client.py http://127.0.0.1:8711

`search` needs three functions of yours: `begin(ids)` gives a latent for each new candidate, `step(latents, ids, stage)`
draws them one stage on, and `score(latents, size, look)` scores previews (size 1: in full). In diffusers, a latent is what
the scheduler steps on, a stage a number of denoising steps, and a preview the decoded guess at the clean image.
"""

import json
import os
import random
import sys
import urllib.request


def call(url, path, body=None, method="POST"):
    headers = {"Content-Type": "application/json"}
    if os.environ.get("TTSVAR_SELECTION_TOKEN"):
        headers["Authorization"] = "Bearer " + os.environ["TTSVAR_SELECTION_TOKEN"]
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def search(url, wish, begin, step, score):
    """The finished candidates by id, and the id of the best one."""
    populations = {}
    turn = call(url, "/v1/sessions", wish)
    session = f"/v1/sessions/{turn['session']}"
    while True:
        for deed in turn["do"]:
            at = deed["population"]
            if deed["action"] == "start":
                populations[at] = dict(zip(deed["ids"], begin(deed["ids"])))
            elif deed["action"] == "step":
                ids = list(populations[at])
                populations[at] = dict(zip(ids, step(list(populations[at].values()), ids, deed["stage"] - 1)))
            elif deed["action"] == "release":
                del populations[at]
            else:  # select, branch: who goes on, some of them several times
                before = populations[at] if deed["action"] == "branch" else populations.pop(at)
                populations[deed["into"]] = {pick["id"]: before[pick["from"]] for pick in deed["picks"]}
        if turn["answer"]:
            call(url, session, method="DELETE")
            return populations[turn["answer"]["population"]], turn["answer"]["best"]
        ask = turn["ask"]
        latents = [populations[ask["population"]][id] for id in ask["ids"]]
        scores = score(latents, ask["view"]["size"], ask["view"]["look"])
        turn = call(url, session, {"revision": turn["revision"], "scores": scores})


if __name__ == "__main__":
    # A toy: a latent is a number that takes a random step at each stage, and the highest number wins.
    def walk(latents, ids, stage):
        return [x + random.Random(f"{id} {stage}").gauss(0, 1) for x, id in zip(latents, ids)]

    settings = {"strategy": "halving", "budget": 8, "stages": 6}
    settings.update(json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
    found, best = search(sys.argv[1], settings, lambda ids: [0.0] * len(ids), walk, lambda latents, *_: latents)
    print(json.dumps({"best": best, "score": found[best], "candidates": len(found)}))
