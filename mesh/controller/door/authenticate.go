package door

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/serinhq/serin/internal/fault"
)

const (
	noIdentity = "NO_IDENTITY"
	whoami     = "what the cluster takes you for, `kubectl auth whoami` says"
)

// errUnknownClient is a certificate that none of the cluster's authorities signed.
var errUnknownClient = errors.New("no authority of the cluster signed it for a client")

// authenticator finds out who calls.
type authenticator struct {
	kubernetes  kubernetes.Interface
	authorities *authorities
}

func newAuthenticator(client kubernetes.Interface) authenticator {
	return authenticator{client, &authorities{kubernetes: client}}
}

// user returns who calls, by the certificate of the connection or, as with the API server, else by the token of the call.
func (a authenticator) user(ctx context.Context) (authenticationv1.UserInfo, error) {
	token, certificates := bearer(ctx), shown(ctx)

	if len(certificates) > 0 {
		err := a.authorities.verify(ctx, certificates)

		switch {
		case err == nil:
			return certified(certificates[0]), nil
		case token != "": // it is asked about below
		case errors.Is(err, errUnknownClient):
			return authenticationv1.UserInfo{}, fault.New(codes.Unauthenticated, noIdentity,
				"the cluster does not know this client certificate (%w); %s", err, whoami)
		default:
			return authenticationv1.UserInfo{}, unanswered(err)
		}
	}

	if token == "" {
		return authenticationv1.UserInfo{}, fault.New(codes.Unauthenticated, noIdentity,
			"the call has neither a bearer token nor a client certificate; %s", whoami)
	}

	return a.review(ctx, token)
}

// review asks the cluster whose a token is.
func (a authenticator) review(ctx context.Context, token string) (authenticationv1.UserInfo, error) {
	answer, err := a.kubernetes.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, unanswered(err)
	}

	if !answer.Status.Authenticated || answer.Status.User.Username == "" {
		why := ""
		if answer.Status.Error != "" {
			why = " (" + answer.Status.Error + ")"
		}

		return authenticationv1.UserInfo{}, fault.New(codes.Unauthenticated, noIdentity,
			"the cluster does not take this bearer token%s; %s", why, whoami)
	}

	return answer.Status.User, nil
}

// unanswered is a question to the cluster that got no answer.
func unanswered(err error) error {
	return fault.New(codes.Unavailable, "CLUSTER_UNAVAILABLE", "the controller can't ask the cluster who calls and may what: %w", err)
}

// certified is whom a verified certificate is of: the API server reads the name and the groups off it in this way.
func certified(certificate *x509.Certificate) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{
		Username: certificate.Subject.CommonName,
		Groups:   append([]string{"system:authenticated"}, certificate.Subject.Organization...),
	}
}

func bearer(ctx context.Context) string {
	for _, value := range metadata.ValueFromIncomingContext(ctx, "authorization") {
		if scheme, token, found := strings.Cut(value, " "); found && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
	}

	return ""
}

// shown are the certificates that the client has shown, and has the key of.
func shown(ctx context.Context) []*x509.Certificate {
	connection, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}

	info, ok := connection.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil
	}

	return info.State.PeerCertificates
}
