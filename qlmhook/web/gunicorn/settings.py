"""gunicorn's settings for `qlmhook serve`."""

bind = "127.0.0.1:8000"
worker_class = "qlmhook.web.gunicorn.worker.DeadlineWorker"
workers = 2
threads = 16
timeout = 60
graceful_timeout = 30
keepalive = 5
control_socket_disable = True
limit_request_line = 8190
logger_class = "qlmhook.web.gunicorn.log.RedactingLogger"
errorlog = "-"
accesslog = "-"
# U is the path alone: the query string carries is_pwd
access_log_format = '%(h)s "%(m)s %(U)s %(H)s" %(s)s %(B)s %(M)sms'
