#!/bin/sh
# Writes the documents of the gallery with the program, from the root of the repository:
# web/scripts/documents.sh target/release/glossator
set -eu
program=${1:-target/release/glossator}
out=web/gallery/documents

explain() { name=$1; shift; "$program" explain --quiet --format json "$@" > "$out/$name.json"; }
attack() { name=$1; shift; "$program" attack "$@" --quiet --format json > "$out/$name.json"; }

film="a touching , funny and wise film that is never dull"
explain sentiment "$film"
explain gradient --method gradient "$film"
explain occlusion --method occlusion "$film"
explain pair --model models/nli-en --target entailment-vs-neutral --pair "Some men are playing a sport." \
  "A soccer game with multiple males playing."
explain entities --model models/ner-en "Marie Curie was born in Warsaw and worked in Paris ."
explain written --model models/characters-en --method input-x-gradient --generate 8 "Once upon a t"
explain chinese --model models/sentiment-zh "这部电影很感人，演员的表演非常出色，但是结局不够有力。"
explain arabic --model models/sentiment-zh --method gradient "هذا الفيلم رائع جدا، شاهدته في The Grand Cinema مع صديقي"
attack hotflip hotflip "$film"
attack reduction input-reduction --certify "$film"

"$program" serve --port 7099 2> /dev/null &
server=$!
trap 'kill $server' EXIT
sleep 2
curl -sf http://127.0.0.1:7099/v1/attention -H 'Content-Type: application/json' \
  -d '{"input": {"text": "a touching , funny and wise film"}}' > "$out/attention.json"
