"""The API explorer: forms with every option of every API, generated from the OpenAPI description."""
