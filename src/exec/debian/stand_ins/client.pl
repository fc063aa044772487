#!/usr/bin/perl
# In the place of a perl program while packages are configured: asks `server.pl` to run it, or runs it.
BEGIN { @start = map { "$_=$ENV{$_}" } keys %ENV }
my $directory = '/dev/kiln';
my $path = $0;
while (defined(my $target = readlink $path)) {
    $path = $target =~ m{\A/} ? $target : $path =~ m{\A(.*/)}s ? "$1$target" : $target;
}
my ($name) = $path =~ m{([^/]*)\z};
my $program = "$directory/own/$name";

sub own {
    exec $program, @ARGV;
    exit 127;
}

# What cannot be opened again by its name, or has a position that would not be shared. A named pipe waits for its other end, and
# a file that is open for one way would be opened for the other.
for my $number (0 .. 2) {
    my $file = "/proc/self/fd/$number";
    # Another device could refuse what is written, which a new perl says at its end, and a copy of one does not.
    (readlink $file // '') =~ m{\A(?:pipe:|/dev/null\z)} or own();
    open my $facts, '<', "/proc/self/fdinfo/$number" or own();
    my ($mode) = map { /\Aflags:\s*\d*([0-7])\Z/ } <$facts>;
    defined $mode && (($mode & 3) == 2 || ($mode & 3) == ($number ? 1 : 0)) or own();
}
# The frontend hands every file that it has to what it runs.
if ($name eq 'frontend') {
    opendir my $files, '/proc/self/fd' or own();
    # These, this program's text, and the directory that is read.
    grep(/\A\d+\z/, readdir $files) <= 5 or own();
}
socket my $server, 1, 1, 0 or own();
connect $server, pack 'S a*', 1, "$directory.socket\0" or own();
my $here = readlink '/proc/self/cwd';
my @fields = ($$, $program, $0, sprintf('%o', umask), $here, scalar @start, @start, @ARGV);
my $request = join '', map { "$_\0" } scalar @fields, @fields;
my $sent = 0;
while ($sent < length $request) {
    # MSG_NOSIGNAL: nobody may be there any more.
    $sent += send($server, substr($request, $sent), 0x4000) || own();
}
my $answer = <$server>;
# Nothing was started yet: the other side was at an end of its means, or would not be a new perl.
own() if !defined $answer || $answer eq "own\n";
$answer = <$server> if $answer eq "run\n";
defined $answer or die "$0: no answer\n";
$answer =~ /\A(\d+)\n\z/ or die "$0: no answer\n";
my $status = $1;
if (my $signal = $status & 127) {
    kill $signal, $$;
}
exit($status >> 8);
