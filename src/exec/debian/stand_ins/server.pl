#!/usr/bin/perl
# Runs perl programs of the image without starting perl for each: the modules that they use are loaded once, and a copy of this
# process (fork) runs the program's own text. Nothing else is taken over: working directory, arguments, environment, umask and
# the first three files are those of whoever asked. Where anything makes this process unlike a new perl, it says so, and the
# program is started as ever.
#
# A request is read from a Unix socket: fields that end with a zero byte, behind their number. The answer is one line: `own`;
# or two: `run`, and the wait status of the program.
BEGIN { @start{keys %ENV} = values %ENV }
use strict;
our %start;

my ($place, @modules) = @ARGV;
# Modules that were looked for in vain.
my %absent;
push @INC, sub { $absent{$_[1]} = 1; return };
for my $module (@modules) {
    # A module that the image lacks is one that the program does without.
    eval { require $module };
}
@INC = grep { !ref } @INC;

# What decides how perl and these modules load: they read it only once.
my $decides = qr/^(?:HOME|TZ|LANG|LANGUAGE|POSIXLY_CORRECT|DPKG_ROOT|DEBCONF_SYSTEMRC|LC_\w*|LD_\w*|MALLOC_\w*|PERL(?!_DL_NONLAZY$)\w*)$/;

# Name, device, inode, size and times of change of every file that was loaded, and of perl: all as it was.
sub identity { join ' ', map { $_ // '-' } (stat $_[0])[0, 1, 7, 9, 10] }
my %loaded = map { ($INC{$_} => identity($INC{$_})) } keys %INC;
my $perl = identity('/proc/self/exe');

sub unchanged {
    # Debconf looks for one where the home of its user is, which this process asked before there were users.
    return 0 if grep { -e "$_/.debconfrc" } '', (getpwuid $>)[7] // ();
    return 0 if identity('/usr/bin/perl') ne $perl;
    for my $file (keys %loaded) {
        return 0 if identity($file) ne $loaded{$file};
    }
    # A file of the same name in a directory that is searched before would be loaded by a new perl.
    for my $module (keys %INC) {
        for my $searched (@INC) {
            my $file = "$searched/$module";
            last if $file eq $INC{$module};
            return 0 if -e $file;
        }
    }
    # One that has come since would be loaded, too.
    for my $module (keys %absent) {
        return 0 if grep { -e "$_/$module" } @INC;
    }
    return 1;
}

# Namespaces, root, limits, owner, ignored signals: what a process has besides.
sub standing {
    my ($process) = @_;
    my @spaces = map { readlink("/proc/$process/ns/$_") // return } qw(mnt pid net user uts ipc);
    open my $status, '<', "/proc/$process/status" or return;
    my @lines = grep { /^(?:Uid|Gid|Groups|SigIgn|SigBlk|Seccomp|NoNewPrivs|Cap\w+):/ } <$status>;
    open my $limits, '<', "/proc/$process/limits" or return;
    return join ' ', @spaces, (stat "/proc/$process/root")[0, 1], @lines, <$limits>;
}

# A shell lets what it starts beside itself ignore these, or block others; after this, the process ignores signals of its own.
$SIG{INT} = $SIG{QUIT} = 'DEFAULT';
eval { require POSIX; POSIX::sigprocmask(POSIX::SIG_SETMASK(), POSIX::SigSet->new) };
my $standing = standing($$) or exit 1;

sub alike {
    my ($process, $environment) = @_;
    for my $name (keys %start, keys %$environment) {
        next unless $name =~ $decides;
        return 0 if ($start{$name} // "\0") ne ($environment->{$name} // "\0");
    }
    my $theirs = standing($process);
    return defined $theirs && $theirs eq $standing && unchanged();
}

sub requested {
    my ($connection) = @_;
    my $text = '';
    while ($text !~ /\A(\d{1,7})\0/ || ($text =~ tr/\0//) <= $1) {
        return if length $text > 4_000_000 || !sysread $connection, $text, 65536, length $text;
    }
    my ($count, @fields) = split /\0/, $text, -1;
    return @fields[0 .. $count - 1];
}

# In a copy of this process: never returns.
sub become {
    my ($program, $name, $environment, @arguments) = @_;
    %ENV = %$environment;
    $SIG{$_} = 'DEFAULT' for qw(CHLD PIPE);
    @ARGV = @arguments;
    $0 = $name;
    # As the first line would have it.
    open my $text, '<', $program or exit 127;
    $^W = 1 if readline($text) =~ /\A#!\S+ +-w\b/;
    close $text;
    $! = 0;
    no strict;
    do $program;
    die $@ if $@;
    exit 0;
}

sub serve {
    my ($connection) = @_;
    my ($process, $program, $name, $mask, $directory, $count, @rest) = requested($connection) or return;
    my %environment = map { /\A([^=]*)=(.*)\z/s ? ($1, $2) : () } splice @rest, 0, $count;
    # Files are shared by their name in /proc; what has a position would not be shared so, and was refused by who asks.
    my $ready = alike($process, \%environment) && chdir $directory;
    $ready &&= open STDIN, '<', "/proc/$process/fd/0";
    $ready &&= open STDOUT, '>', "/proc/$process/fd/1";
    $ready &&= open STDERR, '>', "/proc/$process/fd/2";
    umask oct $mask;
    my $child = $ready ? fork : undef;
    return syswrite $connection, "own\n" unless defined $child;
    if (!$child) {
        close $connection;
        become($program, $name, \%environment, @rest);
    }
    close $_ for *STDIN, *STDOUT, *STDERR;
    syswrite $connection, "run\n";
    waitpid $child, 0;
    syswrite $connection, "$?\n";
}

# AF_UNIX and SOCK_STREAM, without a module that knows their numbers.
socket my $listener, 1, 1, 0 or exit 1;
bind $listener, pack 'S a*', 1, "$place.new\0" or exit 1;
listen $listener, 64 or exit 1;
# It is there only when it answers.
rename "$place.new", $place or exit 1;
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
while (1) {
    accept my $connection, $listener or next;
    my $handler = fork;
    if (defined $handler && !$handler) {
        close $listener;
        $SIG{CHLD} = 'DEFAULT';
        serve($connection);
        # Without what the modules do at the end of a program.
        kill 'KILL', $$;
    }
    close $connection;
}
