package torment

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/runnelhq/runnel/localstack"
)

// Endpoint is host and port of a service, such as "DYNAMODB".
func Endpoint(services localstack.Clients, service string) (string, error) {
	for _, pair := range services.Env() {
		if endpoint, ok := strings.CutPrefix(pair, "AWS_ENDPOINT_URL_"+service+"="); ok {
			u, err := url.Parse(endpoint)
			if err != nil {
				return "", err
			}
			return u.Host, nil
		}
	}
	return "", fmt.Errorf("there is no endpoint of %s", service)
}

// Moved is a URL with another host and port.
func Moved(address, host string) string {
	u, err := url.Parse(address)
	if err != nil { // it was used before
		return address
	}
	u.Host = host
	return u.String()
}
