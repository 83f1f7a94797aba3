# The recipe of CoreLayer. `sam build` includes it from layers/runtimes, which sets RUNTIME, in a
# copy of this folder.

# The shell expands it: make would take a $ in the path of the checkout for one of its variables.
LAYER := $$ARTIFACTS_DIR/python

build-CoreLayer:
	@$(RUNTIME) -c '' || { echo >&2 \
		"The layers need $(RUNTIME): install it and put it on the PATH, use" \
		"sam build --use-container, or set PythonRuntime, as README.md says."; exit 1; }
	@mkdir -p "$(LAYER)"
	@cp -R hangtag "$(LAYER)"
	@find "$(LAYER)" -type f ! -name '*.py' ! -name py.typed -delete
	@$(RUNTIME) -I -m compileall -q --invalidation-mode unchecked-hash \
		-s "$$ARTIFACTS_DIR" -p /opt "$(LAYER)"
