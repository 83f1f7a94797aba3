# The recipe of DependenciesLayer. `sam build` includes it from layers/runtimes, which sets
# RUNTIME and MACHINE, in a copy of this folder.

LAYER := $(ARTIFACTS_DIR)/python
WHEELS := $(ARTIFACTS_DIR)/wheels

# glibc is 2.26 in the runtime of Python 3.11, and 2.34 in the later ones.
MANYLINUX := 2014 _2_17 $(if $(filter-out python3.11,$(RUNTIME)),_2_28 _2_34)

# pip only downloads: an installation depends on paths of the machine that builds.
build-DependenciesLayer:
	@$(RUNTIME) -c 'import pip' || { echo >&2 \
		"The layers need $(RUNTIME) with pip: install it and put it on the PATH," \
		"or use sam build --use-container."; exit 1; }
	@$(RUNTIME) -m pip download --quiet --disable-pip-version-check \
		--require-hashes --no-deps --only-binary=:all: \
		$(MANYLINUX:%=--platform=manylinux%_$(MACHINE)) \
		--requirement requirements.txt --dest "$(WHEELS)"
	@for wheel in "$(WHEELS)"/*.whl; do \
		$(RUNTIME) -I -m zipfile -e "$$wheel" "$(LAYER)" || exit 1; done
	@rm -r "$(WHEELS)"
	@$(RUNTIME) -I -m compileall -q --invalidation-mode unchecked-hash \
		-s "$(ARTIFACTS_DIR)" -p /opt "$(LAYER)"
