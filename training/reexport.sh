#!/bin/sh
# Re-export the newest averaged checkpoint: models/generator, golden vectors, VAE table and sample picture.
# Usage: training/reexport.sh [options of ttsvar.infinity.export, e.g. --guidance 3 --hot 0.7 --cold 0.3]
set -e
cd "$(dirname "$0")"
python="${PYTHON:-.venv/bin/python}"
export OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0
"$python" -m ttsvar.infinity.export --out ../models/generator "$@"
"$python" -m ttsvar.infinity.golden --out ../test/fixtures/golden
"$python" -m ttsvar.infinity.evaluate_vae --picture ../models/generator/reconstructions.png
"$python" -m ttsvar.infinity.sample --out ../models/generator/samples.png \
  "a photo of a dog" "a photo of a clock" "a photo of a pizza" "a photo of a teddy bear" \
  "a photo of a red car" "a photo of a blue apple" "a photo of a green bus" "a photo of a purple elephant" \
  "a photo of two cats" "a photo of three oranges" "a photo of four clocks" "a photo of two pizzas" \
  "a photo of a cake and a cup" "a photo of a horse and a bicycle" "a photo of a banana and a bird" \
  "a photo of a bear and a kite" "a photo of a cat left of a chair" "a photo of a dog right of a tie" \
  "a photo of a kite above a boat" "a photo of a pizza below a laptop" "a photo of a red apple and a blue car" \
  "a photo of a green cup and a pink cow" "a photo of a black dog and a yellow umbrella" \
  "a photo of a purple suitcase and an orange pizza"
"$python" -m ttsvar.infinity.card
