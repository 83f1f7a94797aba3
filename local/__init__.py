"""
Runs the whole stack on one machine, without Docker, an AWS account or an API key.

    processes      background programs
    cloud          the local cloud
    sandbox        the sandbox Tagger API
    sam            builds and deploys the real template
    stack          starts, uses and stops the whole stack
    watch          waits for the stack's results and announcements
    garments       draws sample images
    pictures       draws small images for the fault and soak tests
    demo           the demonstration of `make demo`
    faults         a proxy that injects faults into AWS calls
    workers        the function's processes
    ledger         the outcome of every upload
    leaks          searches for secrets in all that a stack has produced
    fault_cells    the cells of the fault matrix: steps and faults
    fault_rules    the rules that inject the fault of a cell
    fault_outcomes checks the outcome of each cell
    fault_runner   runs the cells
    fault_matrix   the test of every fault at every step
    soak_plan      the uploads and faults of the soak test
    soak_report    the numbers and broken promises of the soak test
    soak           the test of many uploads under faults

`make` runs it as `python -m local`.
"""
