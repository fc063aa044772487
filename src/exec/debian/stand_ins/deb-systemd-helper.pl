#!/usr/bin/perl
# Before `client.pl` asks for deb-systemd-helper: its answers about a unit of which nothing is recorded and which nobody has masked,
# as all are in a new system. They are looked up here; for everything else its own text runs.
if (!grep { length($ENV{$_} // '') } qw(DPKG_ROOT POSIXLY_CORRECT _DEB_SYSTEMD_HELPER_DEBUG _DEB_SYSTEMD_HELPER_PURGE)) {
    my @words = @ARGV;
    my ($quiet, $instance) = (0, 'system');
    while (@words && $words[0] =~ /\A--(quiet|user|system)\z/) {
        $1 eq 'quiet' ? ($quiet = 1) : ($instance = $1);
        shift @words;
    }
    my ($action, $unit) = @words;
    if ($ENV{DPKG_MAINTSCRIPT_PACKAGE} && @words == 2 && $unit =~ /\A[A-Za-z0-9][A-Za-z0-9_.\@:-]*\z/) {
        my ($state, @masked) = map { "/var/lib/systemd/deb-systemd-$_" } $instance eq 'user' ? 'user-helper' : 'helper',
            'helper-masked', 'user-helper-masked';
        my $record = "$state-enabled/$unit.dsh-also";
        # It also removes these directories when they are empty.
        exit 0 if $action eq 'unmask' && !-e "/etc/systemd/$instance/$unit" && !grep { -e || -l } @masked;
        # Without links that are missing, all are there.
        exit 0 if $action eq 'was-enabled' && $quiet && !-e $record && !-l $record;
        exit(-f $record ? 0 : 1) if $action eq 'debian-installed';
    }
}
