#!/bin/sh
# local-image NAME: makes an OCI image of this system's static busybox and gives it to containerd, for containers on
# machines that reach no registry. It has every applet in /bin and a page in /www.
set -eu
name=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p root/bin root/etc root/tmp root/www oci/blobs/sha256
cp /usr/bin/busybox root/bin/busybox
for applet in $(/usr/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"
done
echo "a page in a container" >root/www/index.html
tar -c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C root -f layer.tar .

# Files a blob under its digest, and describes it as image-spec's descriptor.md asks.
blob() {
    digest=$(sha256sum "$2" | cut -d ' ' -f 1)
    size=$(stat -c %s "$2")
    mv "$2" "oci/blobs/sha256/$digest"
    printf '"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s' "$1" "$digest" "$size"
}

diff=$(sha256sum layer.tar | cut -d ' ' -f 1)
layer=$(blob layer.v1.tar layer.tar)
printf '{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$diff" >config
config=$(blob config.v1+json config)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{%s},"layers":[{%s}]}' \
    "$config" "$layer" >manifest
manifest=$(blob manifest.v1+json manifest)
printf '{"schemaVersion":2,"manifests":[{%s,"annotations":{"io.containerd.image.name":"%s"}}]}' \
    "$manifest" "$name" >oci/index.json
printf '{"imageLayoutVersion":"1.0.0"}' >oci/oci-layout
tar -c -C oci -f image.tar .
ctr image import image.tar
