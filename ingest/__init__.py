"""PDFs to documents, pages and chunks (``ingest.pipeline``); chunks to pairs (``ingest.qa.questions``)."""
