package torment

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine is where and when it was measured.
func Machine() string {
	parts := []string{
		runtime.GOOS + "/" + runtime.GOARCH, fmt.Sprintf("%d cores", runtime.NumCPU()), "Go " + strings.TrimPrefix(runtime.Version(), "go"),
	}
	if kernel, err := exec.Command("uname", "-r").Output(); err == nil { //nolint:noctx // it takes a moment
		parts = append(parts, "kernel "+strings.TrimSpace(string(kernel)))
	}
	return strings.Join(append(parts, "load average "+LoadAverage(), time.Now().UTC().Format("2006-01-02")), ", ")
}

// LoadAverage is how many processes wanted to run, over 1, 5 and 15 minutes.
func LoadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}
