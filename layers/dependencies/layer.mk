# The recipe of DependenciesLayer. `sam build` includes it from layers/runtimes, which sets
# RUNTIME and MACHINE, in a copy of this folder.

# The shell expands it: make would take a $ in the path of the checkout for one of its variables.
LAYER := $$ARTIFACTS_DIR/python
WHEELS := $$ARTIFACTS_DIR/wheels

# glibc is 2.26 in the runtime of Python 3.11, and 2.34 in the later ones.
MANYLINUX := 2014 _2_17 $(if $(filter-out python3.11,$(RUNTIME)),_2_28 _2_34)

# pip only downloads: an installation depends on paths of the machine that builds. So it needs no
# virtual environment, either, whatever pip's settings ask for.
build-DependenciesLayer:
	@$(RUNTIME) -c 'import pip' || { echo >&2 \
		"The layers need $(RUNTIME) with pip: install it and put it on the PATH, use" \
		"sam build --use-container, or set PythonRuntime, as README.md says."; exit 1; }
	@PIP_REQUIRE_VIRTUALENV=0 $(RUNTIME) -m pip download --quiet --disable-pip-version-check \
		--require-hashes --no-deps --only-binary=:all: \
		$(MANYLINUX:%=--platform=manylinux%_$(MACHINE)) \
		--requirement requirements.txt --dest "$(WHEELS)"
	@for wheel in "$(WHEELS)"/*.whl; do \
		$(RUNTIME) -I -m zipfile -e "$$wheel" "$(LAYER)" || exit 1; done
	@rm -r "$(WHEELS)"
	@$(RUNTIME) -I -m compileall -q --invalidation-mode unchecked-hash \
		-s "$$ARTIFACTS_DIR" -p /opt "$(LAYER)"
