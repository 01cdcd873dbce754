// Package awserr tells what an error of an AWS service means, by its code and never by its text.
package awserr

import (
	"errors"

	"github.com/aws/smithy-go"
)

// Kind is what an error means for whoever made the call.
type Kind int

// The kinds. Other is everything that may pass: a broken connection, an answer cut short, an internal error, an unknown code.
const (
	Other     Kind = iota
	Denied         // wrong credentials, region or permissions
	NotFound       // no such stream, shard, table or record
	Throttled      // too many calls or bytes
	Expired        // an iterator or a token that was valid once
	Trimmed        // the records are gone
	Invalid        // the service does not take this request, however often it is sent
)

// kinds are the codes of Kinesis, DynamoDB and DynamoDB Streams, and those common to all services:
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html.
var kinds = map[string]Kind{
	"AccessDenied":                           Denied,
	"AccessDeniedException":                  Denied,
	"ExpiredToken":                           Denied,
	"ExpiredTokenException":                  Denied,
	"IncompleteSignature":                    Denied,
	"IncompleteSignatureException":           Denied,
	"InvalidAccessKeyId":                     Denied,
	"InvalidClientTokenId":                   Denied,
	"InvalidSignatureException":              Denied,
	"KMSAccessDeniedException":               Denied,
	"MissingAuthenticationToken":             Denied,
	"MissingAuthenticationTokenException":    Denied,
	"NotAuthorized":                          Denied,
	"OptInRequired":                          Denied,
	"RequestExpired":                         Denied,
	"RequestTimeTooSkewed":                   Denied,
	"SignatureDoesNotMatch":                  Denied,
	"UnrecognizedClientException":            Denied,
	"ResourceNotFoundException":              NotFound,
	"KMSThrottlingException":                 Throttled,
	"LimitExceededException":                 Throttled,
	"ProvisionedThroughputExceededException": Throttled,
	"RequestLimitExceeded":                   Throttled,
	"ThrottledException":                     Throttled,
	"Throttling":                             Throttled,
	"ThrottlingException":                    Throttled,
	"TooManyRequestsException":               Throttled,
	"ExpiredIteratorException":               Expired,
	"ExpiredNextTokenException":              Expired,
	"TrimmedDataAccessException":             Trimmed,
	"InvalidArgumentException":               Invalid,
	"SerializationException":                 Invalid,
	"ValidationError":                        Invalid,
	"ValidationException":                    Invalid,
}

// Of is the kind of err.
func Of(err error) Kind { return kinds[Code(err)] }

// Code is the service's code of err, and "" if no service sent one.
func Code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// Hint is what to do about an error of the kind Denied.
func Hint(err error) string {
	switch Code(err) {
	case "AccessDenied", "AccessDeniedException", "KMSAccessDeniedException", "NotAuthorized", "OptInRequired":
		return "allow these credentials the action that the error names; the package's documentation lists all that are needed"
	case "ExpiredToken", "ExpiredTokenException":
		return "renew the credentials, or use a provider that does"
	case "RequestExpired", "RequestTimeTooSkewed":
		return "set this machine's clock"
	default:
		return "check the credentials, and that they belong to the region of the client"
	}
}
