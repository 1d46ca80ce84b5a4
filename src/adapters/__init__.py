"""The only boto3, SQL and HTTP: each module puts one outside system behind one of the domain's protocols."""
