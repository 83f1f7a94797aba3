"""
One file per outside system. boto3 and requests live here only; foreign errors end here.

An adapter turns every error of its client into a leaf of `hangtag.errors`, from the original.
"""
