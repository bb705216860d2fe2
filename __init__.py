"""`curate`: image/caption corpora into precomputed contrastive pairs. This folder *is* the package.

manifests/  what is at rest and those who read it: artifacts, pairset, stream, consumer, report
stages/     what each step does: ingest, embed, neighbors, mining, assemble
pipeline/   what plans, runs, resumes and talks to people: config, runner, backends, cli
"""

__version__ = "0.1.0"
