#!/usr/bin/perl
# In the place of update-ca-certificates while packages are configured: the same links, the same bundle and the same words, by one
# process instead of ten for each certificate. It looks at everything before it changes anything, and where anything is there
# that an image without an administrator does not have (options, hooks, certificates of one's own, odd names) it runs the
# program itself.
use strict;

my $program = '/dev/kiln/own/update-ca-certificates';
my ($conf, $shipped) = ('/etc/ca-certificates.conf', '/usr/share/ca-certificates');
my ($local, $etc) = ('/usr/local/share/ca-certificates', '/etc/ssl/certs');
my ($bundle, $hooks) = ('ca-certificates.crt', '/etc/ca-certificates/update.d');

sub own {
    exec $program, @ARGV;
    exit 127;
}

sub entries {
    opendir my $directory, $_[0] or own();
    return grep { $_ ne '.' && $_ ne '..' } readdir $directory;
}

# Each word is an end where it cannot be said.
for my $number (1, 2) {
    open my $facts, '<', "/proc/self/fdinfo/$number" or own();
    my ($mode) = map { /\Aflags:\s*\d*([0-7])\Z/ } <$facts>;
    own() unless $mode && $mode & 3 && (readlink "/proc/self/fd/$number" // '') ne '/dev/full';
}

# The postinst asks for an update without hooks, its trigger for one with them.
if (@ARGV == 2 && $ARGV[0] eq '--hooksdir' && $ARGV[1] eq '') {
    $hooks = '';
} elsif (@ARGV) {
    own();
}
own() if defined $ENV{TMPDIR} || -x '/sbin/restorecon' || -l $etc || !-d $etc;
own() if -d $local && entries($local) || $hooks ne '' && -d $hooks && entries($hooks);
own() if -l "$etc/$bundle.new" || -e _ || -d "$etc/$bundle";
# Links below a directory would have to be looked for.
own() if grep { !-l "$etc/$_" && -d _ } entries($etc);

# Lines that a shell and sed read as they are written: no blank at an end, no backslash, no character that is replaced in names.
own() unless -f $conf && -s _ && open my $lines, '<', $conf;
my (@removed, @listed);
while (my $line = <$lines>) {
    chomp $line or own();
    next if $line eq '' || $line =~ /\A#/;
    $line =~ m{\A(!?)((?:[\w.\-+=\@~:%\x80-\xff]+/)*([\w\-+=\@~:%\x80-\xff][\w.\-+=\@~:%\x80-\xff]*)\.crt)\z} or own();
    my ($off, $name, $stem) = ($1, $2, $3);
    my ($certificate, $link) = ("$shipped/$name", "$etc/$stem.pem");
    own() if -d $link;
    push @{ $off ? \@removed : \@listed }, [$certificate, $link];
}
my %content;
for my $certificate (map { $_->[0] } @listed) {
    next if exists $content{$certificate} || !-f $certificate;
    open my $file, '<', $certificate or own();
    local $/;
    # A hole of any size would be in memory.
    own() if -s $file > 1 << 20;
    $content{$certificate} = <$file> // '';
}
chdir $etc or own();

$| = 1;
my ($added, $gone, $written) = (0, 0, 0);
sub fail {
    print STDERR "$0: $_[0]: $!\n";
    unlink "$etc/$bundle.new";
    exit 1;
}
# Where nobody can be told anything, nothing is done.
print "Updating certificates in $etc...\n" or own();
for (@removed) {
    my (undef, $link) = @$_;
    next unless -l $link;
    unlink $link or fail($link);
    $gone++;
}
my $new;
for (@listed) {
    my ($certificate, $link) = @$_;
    if (!exists $content{$certificate}) {
        print STDERR "W: $certificate not found, but listed in $conf.\n";
        next;
    }
    if (!-e $link || (readlink($link) // '') ne $certificate) {
        unlink $link;
        symlink $certificate, $link or fail($link);
        $added++;
    }
    $written++ or open $new, '>', "$etc/$bundle.new" or fail("$etc/$bundle.new");
    my $text = $content{$certificate};
    print $new $text, $text eq '' || $text =~ /\n\z/ ? '' : "\n" or fail("$etc/$bundle.new");
}
if ($written) {
    close $new or fail("$etc/$bundle.new");
}
if ($added || $gone) {
    for my $orphan (grep { -l && !-e } entries('.')) {
        unlink $orphan or fail($orphan);
    }
    my $status = system 'openssl rehash . > /dev/null';
    if ($status) {
        unlink "$etc/$bundle.new";
        exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
    }
}
if ($written) {
    chmod 0644, "$etc/$bundle.new" or fail("$etc/$bundle.new");
    rename "$etc/$bundle.new", $bundle or fail($bundle);
}
print "$added added, $gone removed; done.\n";
if ($hooks ne '' && -d $hooks) {
    print "Running hooks in $hooks...\ndone.\n";
}
