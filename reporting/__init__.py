"""Results as a person reads them: tables for terminal, Markdown and HTML, the report's page, generated documents.

Nothing is computed here but what a table shows.
"""
