def lambda_handler(event, context):
    import hangtag, requests, pydantic, aws_lambda_powertools, os
    return {"ok": 1, "env": {k: v for k, v in os.environ.items() if not "SECRET" in k}}
