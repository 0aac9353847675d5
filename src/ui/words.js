// Every string of the page: English, Chinese.

const TABLE = {
	// frame
	chat: ["Chat","对话"], overview: ["Overview","概览"], channels: ["Channels","渠道"], devices: ["Devices","设备"],
	approvals: ["Approvals","审批"], config: ["Config","配置"], cron: ["Cron","定时任务"], logs: ["Logs","日志"], debug: ["Debug","调试"],
	sections: ["Sections","栏目"], menu: ["Menu","菜单"], skip: ["Skip to content","跳到正文"], theme: ["Dark or light","深色或浅色"],
	signout: ["Sign out","退出登录"], close: ["Close","关闭"], cancel: ["Cancel","取消"], save: ["Save","保存"], copy: ["Copy","复制"],
	copied: ["Copied","已复制"], refresh: ["Refresh","刷新"], remove: ["Remove","移除"], rename: ["Rename","重命名"], done: ["Done","完成"],
	ago: ["{0} ago","{0}前"], in: ["in {0}","{0}后"], name: ["Name","名称"], none: ["none","无"],
	waiting_count: ["{0} waiting","{0} 项待处理"], absent: ["This gateway has no {0}.","此网关没有 {0}。"], not_allowed: ["This sign-in lacks the scope {0}.","此登录缺少权限 {0}。"],
	// sign in
	signin: ["Sign in","登录"], door_kind: ["Sign in with","登录方式"], door_token: ["Token","令牌"], door_password: ["Password","密码"], door_setup: ["Setup code","设置码"],
	door_token_help: ["gateway.auth.token; on the host: openclaw dashboard","gateway.auth.token；在主机上运行：openclaw dashboard"],
	door_password_help: ["gateway.auth.password","gateway.auth.password"],
	door_setup_help: ["From openclaw qr, or from the Devices tab of a signed-in page","来自 openclaw qr，或已登录页面的“设备”栏目"],
	remember: ["Remember on this device","在此设备上记住"],
	insecure: ["Browsers give a page keys only by https or on localhost. Open this gateway by https, or on your machine: ssh -N -L 18789:{0} user@host, then http://localhost:18789","浏览器只在 https 或 localhost 下提供密钥。请用 https 打开此网关，或在本机运行：ssh -N -L 18789:{0} user@host，再打开 http://localhost:18789"],
	no_keys: ["This browser makes no Ed25519 keys ({0}); use a newer one.","此浏览器不支持 Ed25519 密钥（{0}），请使用较新的浏览器。"],
	again: ["Sign in again: {0}","请重新登录：{0}"],
	pairing: ["This browser is not paired yet","此浏览器尚未配对"], pairing_text: ["Approve it on the gateway's host, or on the Devices tab of a page that is signed in:","请在网关主机上批准，或在已登录页面的“设备”栏目中批准："],
	pairing_waits: ["Waiting; this page goes on by itself once it is approved.","等待中；批准后页面会自动继续。"],
	connected: ["Connected","已连接"], connecting: ["Connecting…","连接中…"], offline: ["Not connected","未连接"],
	lost: ["The connection was lost; next try in {0} s.","连接已断开，{0} 秒后重试。"], restarting: ["The gateway restarts; this page comes back by itself.","网关正在重启，页面会自动恢复。"],
	now: ["Try now","立即重试"], unreachable: ["No gateway answers at {0}. Trying again…","{0} 没有网关应答，正在重试…"], restarted: ["The gateway has restarted.","网关已重启。"],
	gap: ["{0} events were missed; what is shown was fetched anew.","遗漏了 {0} 个事件，已重新获取数据。"], approval_came: ["Approval wanted: {0}","请求审批：{0}"],
	// chat
	session: ["Session","会话"], sessions: ["Sessions","会话"], new_session: ["New session","新会话"], find_session: ["Find a session","查找会话"], no_sessions: ["No session yet. Write something.","还没有会话，写点什么吧。"],
	you: ["You","你"], assistant: ["Assistant","助手"], system: ["System","系统"], message: ["Message","消息"], write: ["Message; / for commands","消息；/ 查看命令"], send: ["Send","发送"], stop: ["Stop","停止"],
	attach: ["Add images","添加图片"], only_images: ["Only images can be added; this is {0}.","只能添加图片，这是 {0}。"], too_large: ["{0}: larger than {1}","{0}：超过 {1}"],
	earlier: ["Earlier messages","更早的消息"], queued: ["queued","排队中"], thinking: ["Thinking","思考"], model: ["Model","模型"], default_of: ["default ({0})","默认（{0}）"], context: ["Context","上下文"],
	working: ["Working…","处理中…"], preparing: ["Preparing…","准备中…"], starting_model: ["Asking {0}…","正在请求 {0}…"], retrying: ["The model's server failed; try {0} of {1}.","模型服务器出错，第 {0}/{1} 次重试。"], running_tool: ["Running {0}…","正在运行 {0}…"],
	stopped: ["stopped","已停止"], failed: ["failed","失败"], input: ["Input","输入"], output: ["Output","输出"], running: ["running","运行中"], back_to: ["Back to sessions","返回会话列表"],
	reset: ["Reset","重置"], reset_text: ["The conversation starts anew; the transcript is kept as a file.","对话将重新开始，记录会保留为文件。"], delete: ["Delete","删除"], delete_text: ["The session and its transcript are removed.","会话及其记录将被移除。"],
	compact: ["Compact","压缩"], compacted: ["Compacted.","已压缩。"], more: ["More","更多"], say_something: ["Say something to begin.","说点什么开始吧。"], setup_model: ["No model is configured: answers are an echo.","尚未配置模型：回答只是回显。"], image_count: ["{0} images","{0} 张图片"],
	// overview
	health: ["Health","健康"], good: ["good","正常"], degraded: ["degraded","降级"], uptime: ["Uptime","运行时间"], version: ["Version","版本"], lateness: ["Loop lateness","事件循环延迟"], round_trip: ["Round trip","往返时间"], memory: ["Memory","内存"],
	connections: ["Connections","连接"], runs: ["Active runs","活动任务"], tokens: ["Tokens today","今日令牌数"], cost: ["Cost today","今日费用"], queue: ["Queued","排队"], presence: ["Presence","在线"], since: ["Since","自"],
	next: ["Next","下一步"], next_model: ["Choose a model: answers are the embedded echo until then.","选择模型：在此之前回答只是内置回显。"], next_channel: ["Connect a chat channel, so that messages reach the agent.","连接聊天渠道，让消息到达智能体。"], next_talk: ["Write your first message on the Chat tab.","在“对话”栏目写下第一条消息。"], next_pair: ["{0} devices wait for approval.","{0} 台设备等待批准。"], next_approval: ["{0} commands wait for approval.","{0} 条命令等待审批。"], next_nothing: ["Nothing waits for you.","没有待办事项。"], next_issues: ["The configuration file has {0} problems; the gateway runs by the one before.","配置文件有 {0} 个问题，网关仍使用之前的配置。"],
	open: ["Open","打开"], live_config: ["Configuration","配置"], live: ["live","生效中"], file: ["File","文件"], pending: ["pending","待生效"], waits_restart: ["Waits for a restart: {0}","等待重启：{0}"], state_dir: ["State","状态目录"], process: ["Process","进程"], last_days: ["Last 14 days","最近 14 天"], day: ["Day","日期"], gaps: ["Missed events","遗漏事件"], auth_mode: ["Sign-in","登录方式"], total: ["Total","合计"],
	// channels
	no_channels: ["No channel is set up.","尚未设置渠道。"], last_in: ["Last message in","最近收到"], last_out: ["Last message out","最近发出"], last_error: ["Last error","最近错误"], probe: ["Probe","检测"], start: ["Start","启动"], account: ["Account","账号"], state: ["State","状态"],
	connected_short: ["connected","已连接"], not_configured: ["not configured","未配置"], disabled: ["disabled","已停用"], senders: ["People who want to talk","请求配对的人"], approve: ["Approve","批准"], dismiss: ["Dismiss","忽略"], no_senders: ["Nobody waits.","没有人等待。"], no_pairing: ["This gateway lists no pairing requests of channels; on the host: openclaw pairing list","此网关不列出渠道的配对请求；在主机上运行：openclaw pairing list"], answers_in: ["answers in {0} ms","{0} 毫秒内应答"],
	// devices
	pending_devices: ["Waiting for approval","等待批准"], nothing_waits: ["Nothing waits.","没有等待项。"], reject: ["Reject","拒绝"], approved: ["Approved","已批准"], paired: ["Paired devices","已配对设备"], none_paired: ["No device is paired.","没有已配对的设备。"], role: ["Role","角色"], scopes: ["Scopes","权限"], last_seen: ["Last seen","最近出现"], this_browser: ["this browser","此浏览器"], rotate: ["Rotate","轮换"], rotate_text: ["The device's token is replaced; its connection ends and it signs in with the new one.","设备令牌将被替换；连接会断开并以新令牌登录。"], rotated: ["Rotated.","已轮换。"], revoke: ["Revoke","吊销"], revoke_text: ["The token of this role stops working at once.","此角色的令牌立即失效。"], remove_text: ["{0} loses its access at once.","{0} 立即失去访问权限。"], nodes: ["Nodes","节点"], no_nodes: ["No node is known. On the other machine: openclaw node run","没有节点。在另一台机器上运行：openclaw node run"], commands: ["Commands","命令"], wants: ["asks for","请求"], invite_text: ["Hand this code to the new device; it is good once and for a short time.","将此设置码交给新设备；一次有效，短期过期。"], invoke: ["Invoke","调用"], params: ["Parameters","参数"], result: ["Result","结果"], online: ["online","在线"], away: ["away","离线"], from: ["from {0}","来自 {0}"],
	// approvals
	wants_to_run: ["Commands that wait","等待审批的命令"], no_approvals: ["No command waits. One that needs you appears here by itself.","没有等待的命令；需要你时会自动出现。"], allow_once: ["Allow once","允许一次"], allow_always: ["Always allow","始终允许"], deny: ["Deny","拒绝"], expires: ["Denied by itself","自动拒绝"], agent: ["Agent","智能体"], folder: ["Folder","目录"], host: ["Host","主机"], program: ["Program","程序"], rules: ["Rules","规则"], security: ["Security","安全"], ask_when: ["Asks","询问"], allowlist: ["Allowlist","允许列表"], no_rules: ["Nothing is always allowed.","没有始终允许的命令。"], last_used: ["Last used","最近使用"], pattern: ["Pattern","模式"],
	// config
	form: ["Form","表单"], raw: ["Text","文本"], search: ["Search keys","搜索键"], changed_keys: ["{0} changes","{0} 处更改"], review: ["Review and save","检查并保存"], review_title: ["Save these changes?","保存这些更改？"], discard: ["Discard","放弃"], saved: ["Saved and live.","已保存并生效。"], saved_waits: ["Saved; waits for a restart: {0}","已保存；等待重启：{0}"], conflict: ["The file was changed by somebody else meanwhile. Your changes are kept here; look at them again against the new file.","文件在此期间被其他人更改。你的更改仍保留，请对照新文件再次检查。"], secret_kept: ["set; type to replace it","已设置；输入以替换"], unset: ["not set","未设置"], show_advanced: ["Keys without effect too","也显示无效的键"], no_keys_found: ["No key matches.","没有匹配的键。"], line_error: ["Line {0}: {1}","第 {0} 行：{1}"], valid_json5: ["Valid JSON5","有效的 JSON5"], config_came: ["The configuration file has changed.","配置文件已更改。"], value_error: ["{0}: {1}","{0}：{1}"], nothing_changed: ["Nothing has changed.","没有更改。"],
	// cron
	scheduler: ["Scheduler","调度器"], enabled: ["enabled","已启用"], jobs: ["Jobs","任务"], next_run: ["Next run","下次运行"], last_run: ["Last run","上次运行"], schedule: ["Schedule","计划"], run_now: ["Run now","立即运行"], add_job: ["Add a job","添加任务"], no_jobs: ["Nothing is scheduled.","没有定时任务。"], every: ["Every","每隔"], at: ["At","于"], expression: ["Cron expression","Cron 表达式"], what: ["What the agent is told","告诉智能体的内容"], enqueued: ["It runs.","已开始运行。"], history: ["Runs","运行记录"], no_runs: ["It has not run yet.","尚未运行。"], enable: ["Enable","启用"], disable: ["Disable","停用"], add: ["Add","添加"], kind: ["Kind","类型"], time_zone: ["Time zone","时区"], every_help: ["30m, 2h, 1d","30m、2h、1d"], at_help: ["A date and time","日期和时间"], expression_help: ["minute hour day month weekday","分 时 日 月 星期"], wrong_span: ["{0} is no length of time; write 30m, 2h or 1d","{0} 不是时长；请写 30m、2h 或 1d"],
	// logs, debug
	follow: ["Follow","跟随"], filter: ["Filter","过滤"], level: ["Level","级别"], all_levels: ["all","全部"], no_lines: ["No line matches.","没有匹配的行。"], log_cut: ["The log began a new file.","日志已切换到新文件。"], call: ["Call a method","调用方法"], method: ["Method","方法"], send_call: ["Call","调用"], events: ["Events","事件"], pause: ["Pause","暂停"], no_events: ["None yet.","尚无事件。"], took: ["{0} ms","{0} 毫秒"], hello: ["What the gateway said at the connect","连接时网关的应答"],
};

const KEPT = "openclaw.language";
let chosen;

/** "en" or "zh": what was chosen, else what the browser prefers. */
export function language() {
	chosen ??= find();
	return chosen;
}

function find() {
	const kept = localStorage.getItem(KEPT);
	if (kept === "en" || kept === "zh") return kept;
	return (navigator.languages ?? [navigator.language]).map((name) => name.slice(0, 2)).find((name) => name === "en" || name === "zh") ?? "en";
}

export function chooseLanguage(name) {
	chosen = name;
	localStorage.setItem(KEPT, name);
}

/** A string by its name, with {0}, {1} replaced. */
export function t(key, ...values) {
	const row = TABLE[key];
	if (!row) return key;
	return row[language() === "zh" ? 1 : 0].replace(/\{(\d)\}/g, (_, at) => String(values[at] ?? ""));
}
