package localstack

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The ways to have LocalStack are of one version and set up alike.
func TestPinsAgree(t *testing.T) {
	_, version, _ := strings.Cut(Image, ":")
	script := read(t, "install/install.sh")
	for _, pin := range []string{"kinesis_mock=" + kinesisMockVersion + " ", "localstack=" + version + " "} {
		if !strings.Contains(script, "\n"+pin) {
			t.Errorf("install.sh lacks %q", pin)
		}
	}
	if pin := "localstack-core==" + version + "\n"; !strings.Contains(read(t, "install/constraints.txt"), pin) {
		t.Errorf("constraints.txt lacks %q", pin)
	}
	compose := strings.ReplaceAll(read(t, "compose.yaml"), `"`, "")
	if !strings.Contains(compose, "image: "+Image+"\n") {
		t.Errorf("compose.yaml lacks %s", Image)
	}
	for name, value := range dockerEnv {
		if line := fmt.Sprintf("      %s: %s\n", name, value); !strings.Contains(compose, line) {
			t.Errorf("compose.yaml lacks %q", line)
		}
	}
}
