# Starts the script of a recipe's build: /kiln/in/.kiln/script, with `sh -e`, in an empty directory; or another command.
# Tools are unpacked and not configured, so the names that Debian's packages leave to alternatives are given here. The
# first that is there counts; a name that a package has itself stays the package's.
set -eu
mkdir -p /tmp/bin
name() {
    name=$1
    shift
    [ ! -e "/usr/bin/$name" ] || return 0
    for program; do
        [ ! -e "/usr/bin/$program" ] || {
            ln -s "/usr/bin/$program" "/tmp/bin/$name"
            return 0
        }
    done
}
name awk gawk mawk original-awk
name cc gcc clang
name c++ g++ clang++
name c89 c89-gcc
name c99 c99-gcc
name nawk gawk mawk
name pager less more
name yacc bison.yacc byacc
name lex flex
name fakeroot fakeroot-sysv fakeroot-tcp
name python python3
name which which.debianutils
export PATH="$PATH:/tmp/bin"
# Orders that follow from a random seed of the interpreter would be different in every build.
export PYTHONHASHSEED=0 PERL_HASH_SEED=0 PYTHONDONTWRITEBYTECODE=1
unset -f name
[ $# -gt 0 ] || set -- /bin/sh -e /kiln/in/.kiln/script
exec "$@"
