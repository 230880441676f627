#!/bin/sh
# Makes target/vmm what a spawner runs: runtime/bin/java @vmm.args (or @fast.args, see README.md beside this), with the directory as its own; add --rehearse=4
# where descriptor 4 is /dev/kvm, and it warms up by running a tiny guest before it answers.
# The directory may be copied anywhere. Needs: lib/*.jar, native/ (jffi's library), $JAVA_HOME.
# Usage: package.sh <target/vmm> <vireo-vmm's jar> <class path of the training run>
set -eu
home=$1
jar=$2
training_class_path=$3
cp "$jar" "$home/lib/vireo-vmm.jar"
cd "$home"

if [ ! -x runtime/bin/java ]; then
  rm -rf runtime
  "$JAVA_HOME/bin/jlink" --add-modules java.base,java.logging,jdk.unsupported \
    --strip-debug --no-man-pages --no-header-files --output runtime
fi

# What an idle VMM costs is what a node holds fewer of (vireo bench: memory of an idle VMM): hence the serial collector, a
# small heap, and by default one light compiler with a small code cache. -Xss is the stack of a vCPU or device thread. ArchiveRelocationMode=0
# maps the class archive where it was made for, so that its pages stay shared.
cat > jvm.args <<'ARGS'
-XX:+UseSerialGC
-XX:-UsePerfData
-Xms1536k
-Xmn512k
-Xmx8m
-Xss256k
-XX:InitialCodeCacheSize=256k
-XX:CompressedClassSpaceSize=16m
-XX:MaxMetaspaceSize=24m
-XX:+DisableAttachMechanism
-XX:+UnlockDiagnosticVMOptions
-XX:ArchiveRelocationMode=0
-Xrs
-Dvireo.libc=jffi
-Djffi.boot.library.path=native
-Djava.util.logging.manager=dev.vireo.vmm.NoLogManager
-Djdk.reflect.useNativeAccessorOnly=true
-Dsun.misc.unsafe.memory.access=allow
-Duser.language=en
-Duser.country=US
ARGS
cat > lean.args <<'ARGS'
-XX:TieredStopAtLevel=1
-XX:CICompilerCount=1
-XX:ReservedCodeCacheSize=4m
-Dvireo.compiler=lean
ARGS
cat > fast.args <<'ARGS'
-XX:ReservedCodeCacheSize=8m
-Dvireo.compiler=fast
ARGS
printf '%s\n' '-jar' 'lib/vireo-vmm.jar' > main.args

# The archive holds the classes that a VMM loads, parsed and verified, in pages that all VMMs share.
rm -f vmm.jsa classes.lst
"$JAVA_HOME/bin/java" --enable-native-access=ALL-UNNAMED -cp "$training_class_path" \
  dev.vireo.vmm.control.TrainingRun "$home" @lean.args @jvm.args -Xshare:off -XX:DumpLoadedClassList=classes.lst @main.args --rehearse=4
runtime/bin/java -XX:+UseSerialGC -Xshare:dump -XX:SharedClassListFile=classes.lst -XX:SharedArchiveFile=vmm.jsa \
  -cp lib/vireo-vmm.jar > dump.log 2>&1 || { cat dump.log; exit 1; }
printf '%s\n' '-XX:SharedArchiveFile=vmm.jsa' '-Xshare:auto' >> jvm.args
cat lean.args jvm.args main.args > vmm.args
cat fast.args jvm.args main.args > fast.args.new
mv fast.args.new fast.args
rm -f lean.args jvm.args main.args classes.lst dump.log
