# From a .proto file to C: an enumerator MessageName_fieldName for each field's number, and for each value of an enum one
# with the name of the message that the enum is in.
BEGIN { print "// Made of agent.proto by fields.awk.\n#pragma once\n\nenum {" }
/^ *\/\// { next }
/^message .*\{$/ { message = $2 }
message && /= *[0-9]+;/ { sub(/;.*/, ""); printf "  %s_%s = %s,\n", message, $(NF - 2), $NF }
END { print "};" }
