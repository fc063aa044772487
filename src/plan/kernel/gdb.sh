# Where the recipe asks for GDB_SCRIPTS: the kernel's own commands for gdb, as one file that needs no directory beside it.
run scripts_gdb
{
    cat <<'PYTHON'
# The commands for gdb of one kernel (`lx-version`, `lx-dmesg`, ...): the modules of its scripts/gdb, and its vmlinux-gdb.py.
# In gdb: source vmlinux-gdb.py
import base64
import importlib.abc
import importlib.util
import sys

FILES = {
PYTHON
    (cd scripts/gdb && find linux -name '*.py' -type f | sort) | while read -r file; do
        printf '    "%s": "%s",\n' "$file" "$(base64 -w0 "scripts/gdb/$file")"
    done
    printf '    "vmlinux-gdb.py": "%s",\n}\n' "$(base64 -w0 scripts/gdb/vmlinux-gdb.py)"
    cat <<'PYTHON'


def code(file):
    return compile(base64.b64decode(FILES[file]), file, "exec")


class KernelScripts(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        plain = name.replace(".", "/")
        for file, package in ((plain + "/__init__.py", True), (plain + ".py", False)):
            if file in FILES:
                return importlib.util.spec_from_loader(name, self, origin=file, is_package=package)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(code(module.__spec__.origin), module.__dict__)


sys.meta_path.insert(0, KernelScripts())
exec(code("vmlinux-gdb.py"))
PYTHON
} >../vmlinux-gdb.py
