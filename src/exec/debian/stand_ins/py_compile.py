# In the place of Python's py_compile.py while packages are configured: its own text, which as a program compiles many files in two
# processes. Where one of them fails or says a word, everything is done again in the order of the files, by that text alone.
# The files that it writes are removed from an image (rule `bytecode`).


def _text():
    with open('/dev/kiln/own/py_compile.py', 'rb') as file:
        return compile(file.read(), __file__, 'exec', dont_inherit=True)


def _compile(text, files, said):
    import os
    import sys

    failed = 1
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        module = {'__name__': 'py_compile', '__file__': __file__}
        exec(text, module)
        for file in files:
            module['compile'](file, doraise=True)
        sys.stdout.flush()
        sys.stderr.flush()
        failed = 0
    finally:
        os._exit(failed)


def _halves():
    import os
    import sys

    files = sys.argv[1:]
    plain = all(file.startswith('/') for file in files) and len(set(files)) == len(files)
    if not plain or len(files) < 16 or len(os.sched_getaffinity(0)) < 2:
        return False
    text = _text()
    said = os.memfd_create('said')
    children = []
    for half in (files[0::2], files[1::2]):
        try:
            child = os.fork()
        except OSError:
            break
        if not child:
            _compile(text, half, said)
        children.append(child)
    done = [os.waitpid(child, 0)[1] == 0 for child in children] == [True, True]
    done = done and os.fstat(said).st_size == 0
    os.close(said)
    return done


def _is_done():
    try:
        return __name__ == '__main__' and _halves()
    except (OSError, AttributeError):
        return False


if not _is_done():
    # With no name that the text does not have itself.
    exec([_text(), *map(globals().pop, ('_text', '_compile', '_halves', '_is_done'))][0])
