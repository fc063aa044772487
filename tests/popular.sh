#!/bin/sh
# Chooses 200 popular packages from an archive's index, and writes them in groups that can be installed together.
#
#   xz -dc Packages.xz | tests/popular.sh > tests/popular.txt
#
# Popular is, in this order:
#   1. what has Priority important or standard;
#   2. what the tasks of servers and laptops depend on or recommend (`task-*-server`, `task-laptop`);
#   3. what packages of most sources depend on or recommend, among programs and services: by section, so that libraries,
#      modules of languages, fonts, games and data do not fill the list.
# Ties are broken by name. Required packages are in every image and not listed. A group has ten packages, none of which
# conflicts with or breaks another one of it; each package goes into the first group that takes it.
set -eu
export LC_ALL=C
awk '
BEGIN {
    RS = ""; FS = "\n"
    split("admin comm database devel editors httpd interpreters mail misc net otherosfs shells text utils vcs web", names, " ")
    for (i in names) programs[names[i]] = 1
}
function first(word) { sub(/^ +/, "", word); sub(/[^a-z0-9+.-].*$/, "", word); return word }
{
    split("", field)
    for (i = 1; i <= NF; i++) if (match($i, /^[A-Za-z-]+: /)) field[substr($i, 1, RLENGTH - 2)] = substr($i, RLENGTH + 1)
    name = field["Package"]; source = first("Source" in field ? field["Source"] : name)
    section[name] = field["Section"]; sub(/.*\//, "", section[name]); priority[name] = field["Priority"]
    against[name] = field["Conflicts"] ", " field["Breaks"]
    wanted = field["Pre-Depends"] ", " field["Depends"] ", " field["Recommends"]
    many = split(wanted, parts, ",")
    for (i = 1; i <= many; i++) {
        other = first(parts[i])
        if (other == "") continue
        if (!((other, source) in seen)) { seen[other, source] = 1; sources[other]++ }
        if (name ~ /^task-.*-server$/ || name == "task-laptop") task[other] = 1
    }
}
END {
    for (name in section) {
        if (priority[name] == "required" || section[name] == "tasks") continue
        if (priority[name] == "important" || priority[name] == "standard") rank = 1
        else if (name in task) rank = 2
        else if (section[name] in programs && sources[name] > 0) rank = 3
        else continue
        printf "%d %d %s %s\n", rank, sources[name], name, against[name]
    }
}' | sort -k1,1n -k2,2nr -k3,3 | head -n 200 | awk '
# How a name stands in a field: as a whole word, without a version, for what is too old is not in this archive.
function conflict(a, b,    parts, many, i) {
    many = split(against[a], parts, ",")
    for (i = 1; i <= many; i++) { gsub(/^ +| +$/, "", parts[i]); if (parts[i] == b) return 1 }
    return 0
}
{
    name = $3; against[name] = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ ?/, "", against[name])
    for (group = 1; ; group++) {
        if (count[group] == 10) continue
        fits = 1
        for (i = 1; i <= count[group]; i++)
            if (conflict(name, member[group, i]) || conflict(member[group, i], name)) fits = 0
        if (fits) break
    }
    member[group, ++count[group]] = name
    if (group > groups) groups = group
}
END {
    for (group = 1; group <= groups; group++) {
        line = ""
        for (i = 1; i <= count[group]; i++) line = line (i > 1 ? " " : "") member[group, i]
        print line
    }
}'
