package torment

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// throttled is what DynamoDB answers when a table is asked for more than it may give.
const throttled = `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}`

// refuseRequests answers every request of a connection as a throttled DynamoDB does, until the connection ends.
func (p *Proxy) refuseRequests(client net.Conn) {
	in := bufio.NewReader(client)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		p.hit(Throttle)
		_, err = fmt.Fprintf(client, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s", len(throttled), throttled)
		if err != nil {
			return
		}
	}
}
