#!/bin/sh
# LocalStack puts this folder first in PATH. Turns its "java -javaagent:… -jar DynamoDBLocal.jar ARGUMENTS" into a start
# of DynamoLocal from the class path.
i=$#
while [ "$i" -gt 0 ]; do
  argument=$1
  shift
  i=$((i - 1))
  case $argument in
    -javaagent:*) ;;
    -jar)
      shift
      i=$((i - 1))
      set -- "$@" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData "-Djava.io.tmpdir=$TMPDIR" \
        -cp "$RUNNEL_DYNAMODB_LOCAL:$RUNNEL_DYNAMODB_LOCAL/lib/*" DynamoLocal -disableTelemetry
      ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec "$RUNNEL_JAVA" "$@"
