"""The API explorer: a form for every option of every API, made of the OpenAPI description."""
