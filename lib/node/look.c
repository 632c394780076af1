/* look: what this machine is and who uses its GPUs, as the looker (looker.c) says it, and what follows. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>
#include <zlib.h>

#include "node/agent.h"
#include "proc/proc.h"
#include "rec/val.h"

enum { LOOK_TRIES_MAX = 6, ANCESTORS_MAX = 64 };

bool zn__look_is_mock(void)
{
	const char *mock = getenv("ZENITH_MOCK_GPUS");

	return mock && *mock;
}

static int unpack_list(struct zn_bytes b, struct zn_arena *arena, msgpack_object *ret)
{
	ssize_t n = zn_msgpack_check(b.p, b.n, 0, NULL);

	if (n <= 0 || (size_t)n != b.n)
		return -EBADMSG;
	int rc = zn_val_unpack(b.p, b.n, 0, arena, ret, NULL);
	if (rc < 0)
		return rc;
	return ret->type == MSGPACK_OBJECT_ARRAY ? 0 : -EBADMSG;
}

/* The number that the device has in the facts, which those who were told of them go by: where the driver has lost one since,
 * those behind it have other numbers now.
 */
static uint32_t known_number(const struct zn_facts *f, const struct zn_gpu *g)
{
	for (uint32_t i = 0; f && g->uuid && i < f->n_gpus; i++)
		if (f->gpus[i].uuid && !strcmp(f->gpus[i].uuid, g->uuid))
			return f->gpus[i].gpu;
	return g->gpu;
}

/* Everything that is a GPU in the list, with its users; copied, for the list goes. */
static int take_users(struct agent *a, struct zn_bytes bytes)
{
	struct zn_arena arena = { 0 };
	msgpack_object list;
	char *own = zn_arena_memdup(&arena, bytes.p, bytes.n);
	int rc = own ? unpack_list((struct zn_bytes){ own, bytes.n }, &arena, &list) : -ENOMEM;
	struct zn_gpu *v = rc == 0 ? zn_arena_array(&arena, list.via.array.size + 1, sizeof(*v)) : NULL;
	size_t n = 0;

	for (uint32_t i = 0; v && rc == 0 && i < list.via.array.size; i++) {
		const msgpack_object *map = &list.via.array.ptr[i];
		if (zn_val_is_text(zn_val_get(map, "kind"), zn_gpu_kind.name))
			rc = zn_decode(&zn_gpu_kind, map, &arena, &v[n++], NULL);
	}
	if (!v || rc < 0) {
		zn_arena_done(&arena);
		return rc < 0 ? rc : -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		v[i].gpu = known_number(a->facts, &v[i]);
	zn_arena_done(&a->users_arena);
	a->users_arena = arena;
	a->users = (struct zn_list){ .v = v, .n = n };
	return 0;
}

static int take_facts(struct agent *a, struct zn_bytes bytes)
{
	struct zn_arena arena = { 0 };
	struct zn_facts *facts;
	msgpack_object list;
	int rc = unpack_list(bytes, &arena, &list);

	if (rc == 0)
		rc = zn_facts_decode(&list, &facts, NULL);
	zn_arena_done(&arena);
	if (rc < 0)
		return rc;
	zn_facts_free(a->facts);
	a->facts = facts;
	if (a->topology.len != bytes.n || memcmp(a->topology.data, bytes.p, bytes.n) != 0) {
		zn_buf_done(&a->topology);
		a->topology = (struct zn_buf){ 0 };
		zn_buf_add(&a->topology, bytes.p, bytes.n);
		a->topology_sent = false;
		a->facts_no++;
		zn__hand_let_go(a, true); /* what they know is old; so it is of those that have a job now */
	}
	return 0;
}

/* A start that was not answered is not known to the next peer, who will send it again. */
void zn__look_forget(struct agent *a)
{
	for (struct waiting *w = a->waiting, *next; w; w = next) {
		next = w->next;
		zn_buf_done(&w->body);
		free(w);
	}
	a->waiting = NULL;
}

static void do_waiting(struct agent *a, const struct zn_buf *body)
{
	struct zn_arena arena = { 0 };
	struct zn_msg_start start;
	struct zn_msg_steer steer;
	msgpack_object map;

	if (zn_val_unpack(body->data, body->len, 0, &arena, &map, NULL) < 0)
		map.type = MSGPACK_OBJECT_NIL;
	const msgpack_object *kind = zn_val_get(&map, "kind");
	if (zn_val_is_text(kind, "start") && zn_decode(&zn_msg_start_kind, &map, &arena, &start, NULL) == 0)
		zn__job_start(a, &start);
	else if (zn_val_is_text(kind, "steer") && zn_decode(&zn_msg_steer_kind, &map, &arena, &steer, NULL) == 0)
		zn__job_steer(a, &steer);
	zn_arena_done(&arena);
}

static void start_waiting(struct agent *a)
{
	struct waiting *list = a->waiting;

	a->waiting = NULL;
	for (struct waiting *w = list, *next; w; w = next) {
		next = w->next;
		do_waiting(a, &w->body);
		zn_buf_done(&w->body);
		free(w);
	}
}

static void cant_read(struct agent *a, const char *why)
{
	zn_err_set(&a->unread, 0, "this machine can't be read: %s", why);
	zn__agent_say(a, "%s", a->unread.text);
}

/* No list begins like a letter. */
static const char *sentence(struct zn_bytes answer, char *to, size_t size)
{
	if (!answer.n || (*(const unsigned char *)answer.p & 0x80))
		return NULL;
	snprintf(to, size, "%.*s", (int)answer.n, (const char *)answer.p);
	return to;
}

/* The driver came up after we had looked at the machine: GPUs were known by what the bus says of them alone. */
static bool knows_more(const struct zn_facts *f, const struct zn_list *users)
{
	const struct zn_gpu *v = users->v;

	for (size_t i = 0; i < users->n; i++) {
		const struct zn_gpu *known = zn_facts_gpu(f, v[i].gpu);
		if (v[i].uuid && (!known || !known->uuid))
			return true;
	}
	return false;
}

/* A look that failed leaves what was known; the starts that waited are decided by it. */
static void take_answer(struct agent *a, struct zn_bytes answer)
{
	char text[sizeof(a->unread.text)];
	const char *why = sentence(answer, text, sizeof(text));
	int rc = answer.n ? 0 : -EIO;

	if (rc == 0 && !why && a->look_full)
		rc = take_facts(a, answer);
	if (rc == 0 && !why)
		rc = take_users(a, answer);
	if (rc == 0 && !why && !a->look_full && a->facts && knows_more(a->facts, &a->users))
		a->want_full = a->tell_state = true;
	if (rc < 0 || why)
		cant_read(a, why ? why : strerror(-rc));
	else
		a->unread.text[0] = '\0';
}

/* Without facts nothing can be placed here: they are looked for again, more and more seldom. */
static void plan_look(struct agent *a)
{
	if (a->facts) {
		a->look_again_ns = a->look_tries = 0;
		return;
	}
	a->look_again_ns = zn_boot_ns() + (1000000000ull << a->look_tries);
	if (a->look_tries < LOOK_TRIES_MAX)
		a->look_tries++;
}

void zn__look_again(struct agent *a)
{
	a->look_again_ns = 0;
	a->want_full = a->tell_state = true;
	zn__look_begin(a);
}

void zn__look_answered(struct agent *a, struct zn_bytes answer)
{
	take_answer(a, answer);
	plan_look(a);
	bool tell = a->tell_state && a->look_full;
	if (tell)
		a->tell_state = false;
	zn__look_send_state(a, tell);
	if (a->want_full || a->want_users)
		zn__look_begin(a);
	else
		start_waiting(a);
	if (!a->look_until_ns && !zn__look_needed(a))
		zn__looker_let_go(a);
}

void zn__look_begin(struct agent *a)
{
	if (a->look_until_ns || (!a->want_full && !a->want_users))
		return;
	int rc = zn__looker_ask(a, a->want_full);
	a->want_full = a->want_users = false;
	if (rc < 0) {
		cant_read(a, strerror(-rc));
		plan_look(a);
		start_waiting(a);
	}
}

int zn__look_first(struct agent *a)
{
	struct zn_buf answer = { 0 };
	int rc = zn__looker_ask_and_wait(a, &answer);

	if (rc < 0)
		cant_read(a, strerror(-rc));
	else
		take_answer(a, (struct zn_bytes){ answer.data, answer.len });
	plan_look(a);
	if (!zn__look_needed(a))
		zn__looker_let_go(a);
	zn_buf_done(&answer);
	return a->facts ? 0 : -EIO;
}

/* A mock device has no users that a driver could name. */
bool zn__look_needed(const struct agent *a)
{
	return a->facts && a->facts->n_gpus && !zn__look_is_mock();
}

/* ---- strangers ------------------------------------------------------------------------------------------- */

bool zn__look_is_below(pid_t pid, pid_t root)
{
	struct zn_proc_stat st;

	for (int i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		if (pid == root)
			return true;
		if (zn_proc_stat(pid, &st) < 0)
			return false;
		pid = st.ppid;
	}
	return false;
}

static bool is_ours(const struct agent *a, pid_t pid)
{
	for (const struct job *j = a->jobs; j; j = j->hh.next)
		if (j->adopted.pid && !j->exited && zn__look_is_below(pid, j->adopted.pid))
			return true;
	return zn__look_is_below(pid, getpid());
}

bool zn__look_uses(const struct agent *a, uint32_t gpu, pid_t root)
{
	const struct zn_gpu *v = a->users.v;

	for (size_t i = 0; i < a->users.n; i++) {
		const struct zn_gpu_user *u = v[i].users.v;
		for (size_t k = 0; v[i].gpu == gpu && k < v[i].users.n; k++)
			if (zn__look_is_below((pid_t)u[k].pid, root))
				return true;
	}
	return false;
}

int zn__look_stranger(struct agent *a, uint32_t gpu, pid_t but, struct zn_lease_holder *ret)
{
	const struct zn_gpu *v = a->users.v;

	for (size_t i = 0; i < a->users.n; i++) {
		const struct zn_gpu_user *u = v[i].users.v;
		for (size_t k = 0; v[i].gpu == gpu && k < v[i].users.n; k++) {
			if (is_ours(a, (pid_t)u[k].pid) || (but && zn__look_is_below((pid_t)u[k].pid, but)))
				continue;
			*ret = (struct zn_lease_holder){ .pid = (int)u[k].pid };
			zn_proc_owner((pid_t)u[k].pid, ret->user, sizeof(ret->user), ret->command, sizeof(ret->command));
			return 1;
		}
	}
	return 0;
}

static bool is_given_out(const struct agent *a, uint32_t gpu)
{
	for (const struct job *j = a->jobs; j; j = j->hh.next)
		if (!j->exited && zn_idset_has(&j->gpus, gpu))
			return true;
	return false;
}

static int find_held(struct agent *a, struct zn_arena *arena, struct zn_list *ret)
{
	size_t n = a->facts ? a->facts->n_gpus : 0;
	struct zn_msg_gpu_held *v = zn_arena_array(arena, n + 1, sizeof(*v));
	struct zn_lease_holder h;

	*ret = (struct zn_list){ .v = v };
	for (size_t i = 0; v && i < n; i++) {
		const struct zn_gpu *g = &a->facts->gpus[i];
		if (is_given_out(a, g->gpu))
			continue;
		if (!zn__look_stranger(a, g->gpu, 0, &h) && !zn_lease_is_held(a->lease_fd, g, &h))
			continue;
		v[ret->n++] = (struct zn_msg_gpu_held){
			.gpu = g->gpu, .pid = (uint32_t)h.pid,
			.user = h.user[0] ? zn_arena_strdup(arena, h.user) : NULL,
			.command = h.command[0] ? zn_arena_strdup(arena, h.command) : NULL,
		};
	}
	return v ? 0 : -ENOMEM;
}

void zn__look_send_state(struct agent *a, bool always)
{
	struct zn_arena arena = { 0 };
	struct zn_msg_state m = { .unread = a->facts || !a->unread.text[0] ? NULL : a->unread.text };
	struct zn_buf bytes = { 0 };

	if (!a->peer)
		return;
	if (find_held(a, &arena, &m.held) == 0 && zn_encode(&zn_msg_state_kind, &m, &bytes) == 0) {
		uint32_t crc = (uint32_t)crc32(0, (void *)bytes.data, (unsigned)bytes.len);
		if ((always || !a->topology_sent) && a->topology.len)
			m.topology = (struct zn_bytes){ .p = a->topology.data, .n = a->topology.len };
		if (always || crc != a->held_crc || m.topology.p) {
			zn__peer_send(a, &zn_msg_state_kind, &m);
			a->topology_sent |= m.topology.p != NULL;
		}
		a->held_crc = crc;
	}
	zn_buf_done(&bytes);
	zn_arena_done(&arena);
}
