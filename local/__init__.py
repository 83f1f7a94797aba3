"""
Runs the whole stack on one machine, without Docker, an AWS account or an API key.

    processes      background programs
    cloud          the local cloud
    sandbox        the sandbox Tagger API
    sam            builds and deploys the real template
    stack          starts, uses and stops the whole stack
    watch          waits for the stack's results and announcements
    garments       draws sample images
    demo           the demonstration of `make demo`
    faults         a proxy that injects faults into AWS calls
    workers        the function's processes
    ledger         the outcome of every upload
    fault_matrix   the test of every fault at every step
    soak           the test of many uploads under faults

`make` runs it as `python -m local`.
"""
