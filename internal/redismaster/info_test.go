package redismaster

import "testing"

func TestFieldsOfInfo(t *testing.T) {
	const info = "# Replication\r\nrole:master\r\nmaster_replid:abc\r\nmaster_replid2:000\r\n"
	for name, want := range map[string]string{"role": "master", "master_replid": "abc", "replid": "", "": ""} {
		if got := InfoField(info, name); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
}
