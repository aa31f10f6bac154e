package kubelet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podresource "k8s.io/kubernetes/pkg/api/v1/resource"
	configmapvolume "k8s.io/kubernetes/pkg/volume/configmap"
	secretvolume "k8s.io/kubernetes/pkg/volume/secret"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
	"k8s.io/utils/ptr"
)

type files = map[string]volumeutil.FileProjection

// payloadOf makes the function that reads what a volume is made of; nil for a kind that is not known.
func (p *pod) payloadOf(spec *corev1.Volume, made *volume) func(context.Context) (files, error) {
	switch source := spec.VolumeSource; {
	case source.ConfigMap != nil:
		return func(ctx context.Context) (files, error) { return p.configMapFiles(ctx, source.ConfigMap) }
	case source.Secret != nil:
		return func(ctx context.Context) (files, error) { return p.secretFiles(ctx, source.Secret) }
	case source.DownwardAPI != nil:
		return func(context.Context) (files, error) {
			return p.downwardFiles(source.DownwardAPI.Items, source.DownwardAPI.DefaultMode)
		}
	case source.Projected != nil:
		return func(ctx context.Context) (files, error) { return p.projectedFiles(ctx, source.Projected, made) }
	default:
		return nil
	}
}

func (p *pod) configMapFiles(ctx context.Context, source *corev1.ConfigMapVolumeSource) (files, error) {
	optional := ptr.Deref(source.Optional, false)

	found, err := p.k.client.CoreV1().ConfigMaps(p.namespace).Get(ctx, source.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		found, err = &corev1.ConfigMap{}, nil
	}

	if err != nil {
		return nil, fmt.Errorf("read configmap %s: %w", source.Name, err)
	}

	return configmapvolume.MakePayload(source.Items, found, source.DefaultMode, optional)
}

func (p *pod) secretFiles(ctx context.Context, source *corev1.SecretVolumeSource) (files, error) {
	optional := ptr.Deref(source.Optional, false)

	found, err := p.k.client.CoreV1().Secrets(p.namespace).Get(ctx, source.SecretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		found, err = &corev1.Secret{}, nil
	}

	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", source.SecretName, err)
	}

	return secretvolume.MakePayload(source.Items, found, source.DefaultMode, optional)
}

func (p *pod) downwardFiles(items []corev1.DownwardAPIVolumeFile, defaultMode *int32) (files, error) {
	made := files{}

	for _, item := range items {
		var (
			text string
			err  error
		)

		if item.FieldRef != nil {
			text, err = p.field(item.FieldRef.FieldPath)
		} else {
			text, err = podresource.ExtractResourceValueByContainerNameAndNodeAllocatable(
				item.ResourceFieldRef, p.object(), item.ResourceFieldRef.ContainerName, p.k.nodeStatus().Allocatable)
		}

		if err != nil {
			return nil, fmt.Errorf("file %s: %w", item.Path, err)
		}

		made[item.Path] = volumeutil.FileProjection{Data: []byte(text), Mode: *first(item.Mode, defaultMode, new(int32(0o644)))}
	}

	return made, nil
}

func (p *pod) projectedFiles(ctx context.Context, source *corev1.ProjectedVolumeSource, made *volume) (files, error) {
	all := files{}

	for i := range source.Sources {
		part, err := p.projectionFiles(ctx, &source.Sources[i], source.DefaultMode, made)
		if err != nil {
			return nil, err
		}

		maps.Copy(all, part)
	}

	return all, nil
}

func (p *pod) projectionFiles(ctx context.Context, source *corev1.VolumeProjection, mode *int32, made *volume) (files, error) {
	switch {
	case source.ConfigMap != nil:
		return p.configMapFiles(ctx, &corev1.ConfigMapVolumeSource{
			LocalObjectReference: source.ConfigMap.LocalObjectReference, Items: source.ConfigMap.Items,
			Optional: source.ConfigMap.Optional, DefaultMode: mode,
		})
	case source.Secret != nil:
		return p.secretFiles(ctx, &corev1.SecretVolumeSource{
			SecretName: source.Secret.Name, Items: source.Secret.Items, Optional: source.Secret.Optional, DefaultMode: mode,
		})
	case source.DownwardAPI != nil:
		return p.downwardFiles(source.DownwardAPI.Items, mode)
	case source.ServiceAccountToken != nil:
		return p.tokenFile(ctx, source.ServiceAccountToken, mode, made)
	default:
		return nil, errors.New("this kind of projection is not supported")
	}
}

// tokenFile asks for a token that is bound to the Pod. Like Kubernetes it is renewed when four fifths of its life are
// over, and until then it is the same one: other changes of the volume leave it alone.
func (p *pod) tokenFile(ctx context.Context, source *corev1.ServiceAccountTokenProjection, mode *int32, made *volume) (files, error) {
	seconds := ptr.Deref(source.ExpirationSeconds, 3600)
	key := fmt.Sprintf("%s|%d", source.Audience, seconds)

	token := made.tokens[key]
	if token == nil || time.Now().After(token.renew) {
		asked, err := p.askToken(ctx, source.Audience, seconds)
		if err != nil {
			return nil, err
		}

		token = asked
		made.tokens[key] = token
	}

	if made.due.IsZero() || made.due.Before(time.Now()) || token.renew.Before(made.due) {
		made.due = token.renew
	}

	file := volumeutil.FileProjection{Data: []byte(token.text), Mode: ptr.Deref(mode, 0o644)}

	// A container that is not root must read it, and nobody else: one user's token is that user's file.
	switch owner, one := p.oneUser(); {
	case p.fsGroup() >= 0:
		file.Mode = 0o640
	case one:
		file.Mode, file.FsUser = 0o600, new(int64(owner))
	}

	return files{source.Path: file}, nil
}

// token is one ServiceAccount token.
type token struct {
	text  string
	renew time.Time
}

func (p *pod) askToken(ctx context.Context, audience string, seconds int64) (*token, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.name, UID: p.uid},
	}}

	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}

	account := p.object().Spec.ServiceAccountName
	asked := time.Now()

	answer, err := p.k.client.CoreV1().ServiceAccounts(p.namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask for a token of service account %s: %w", account, err)
	}

	life := answer.Status.ExpirationTimestamp.Sub(asked)

	return &token{text: answer.Status.Token, renew: asked.Add(life * 4 / 5)}, nil
}

// oneUser is the user that all containers run as, if it is one.
func (p *pod) oneUser() (uid int, one bool) {
	for i, container := range append(append([]*container{}, p.inits...), p.mains...) {
		user, err := container.user()
		if err != nil || i > 0 && user.uid != uid {
			return 0, false
		}

		uid = user.uid
	}

	return uid, true
}
