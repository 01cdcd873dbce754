# Runs a part of the stack as: sh -c "$(cat supervise.sh)" NAME FOLDER COMMAND..., as the leader of a process group of
# its own. When the part ends, or standard input does – because the process that started it died –, the folder is
# removed and the whole group killed, with whatever the part has started.
name=$0
folder=$1
shift
end() {
  rm -rf -- "$folder"
  kill -KILL 0
}
exec 3<&0
"$@" </dev/null 3<&- &
part=$!
{
  read -r _ <&3
  end
} &
exec 3<&-
wait "$part"
echo "$name ended with status $?" >&2
end
