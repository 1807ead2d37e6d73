"""PDFs to documents, pages and chunks (``ingest.pipeline``); chunks to question-answer pairs (``ingest.questions``)."""
