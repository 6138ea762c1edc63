"""The documentation: what generates its reference, what brings the repository's pages into its site, what checks that.

python -m tests.docs.generate           write `docs/reference/` from the code
python -m tests.docs.check_site FOLDER  refuse a built site that asks a browser to fetch anything from elsewhere
"""
